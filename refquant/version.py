"""The version of the package; `refquant.__version__` for everybody else."""

__version__ = "0.3.0"
