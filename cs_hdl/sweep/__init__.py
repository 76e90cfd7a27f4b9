"""Many designs at once: a study's grid of options, generated, checked and measured on one Dask graph."""
