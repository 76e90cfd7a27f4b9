"""The paper's studies, reproduced and taken further: what ``scripts/studies`` computes, plots and writes down."""
