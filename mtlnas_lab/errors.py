"""What a user can get wrong: one class per noun. The command line prints these as one line, without a traceback."""


class LabError(ValueError):
    """Something was asked for that cannot be; the message says what was passed, why not, and what would be right."""


class SpaceError(LabError):
    """An edge, a rule or a plan of stages that makes no search space."""


class FusionError(LabError):
    """Feature maps or starting weights that a fusion operation cannot take."""


class TaskError(LabError):
    """A task nobody knows, or labels that are not of its kind."""


class DataError(LabError):
    """A pack that is missing, damaged or not of the layout."""


class ConfigError(LabError):
    """A setting out of range, or a name that is none of the choices."""


class RunError(LabError):
    """A run folder that is missing, in use, damaged or of another space."""
