"""What a user can get wrong: one class per noun. The command line prints these as one line, without a traceback."""


class MTLNASError(ValueError):
    """Something was asked for that cannot be; the message says what was passed, why not, and what would be right."""


class SpaceError(MTLNASError):
    """An edge, a rule or a plan of stages that makes no search space."""


class FusionError(MTLNASError):
    """Feature maps or starting weights that a fusion operation cannot take."""


class TaskError(MTLNASError):
    """A task nobody knows, or labels that are not of its kind."""


class DataError(MTLNASError):
    """A pack that is missing, damaged or not of the layout."""


class ConfigError(MTLNASError):
    """A setting out of range, or a name that is none of the choices."""


class RunError(MTLNASError):
    """A run folder that is missing, in use, damaged or of another space."""
