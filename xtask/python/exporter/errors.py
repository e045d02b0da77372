"""The exception that ends an export whose input is at fault."""


class ExportError(Exception):
    """Why a checkpoint cannot be exported: one sentence that names the file and the key.

    The command line prints the sentence and leaves with exit code 1. Any other exception is a
    defect of the exporter and keeps its traceback.
    """
