"""The application: one command line, one-command run, the web console."""

__version__ = "0.1.0"
