"""The one exception that an export ends with when its input is at fault."""


class ExportError(Exception):
    """Why a checkpoint cannot be exported: one sentence that names the file and the key.

    The command line prints it and leaves with exit code 1; anything else that is raised is a
    defect of the exporter and keeps its traceback.
    """
