"""cs-hdl: neural-network accelerators for FPGAs that use Complementary Sparsity."""

__all__ = ["__version__"]

__version__ = "0.1.0"
