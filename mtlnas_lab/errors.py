"""What a user can get wrong: one class per noun. The command line prints these as one line, without a traceback."""


class MTLNASError(ValueError):
    """Something was asked for that cannot be; the message says what was passed, why not, and what would be right.

    Args:
        what: The message.
        hint: Settings that would mend it, as in "resume, weight_lr=3e-4": the command line tells their flags.

    Example:
        >>> from mtlnas_lab import MTLNASError, Node
        >>> try:
        ...     Node.parse("normals")
        ... except MTLNASError as error:
        ...     print(error)
        'normals' is not a node; write a task and a stage, as in 'normals:3'
    """

    def __init__(self, *what: object, hint: str = ""):
        super().__init__(*what)
        self.hint = hint


class SpaceError(MTLNASError):
    """An edge, a rule or a plan of stages from which no search space can be made."""


class FusionError(MTLNASError):
    """Feature maps or starting weights that a fusion operation cannot take."""


class TaskError(MTLNASError):
    """A task that nobody knows, or labels that are not of its kind."""


class DataError(MTLNASError):
    """A pack, or a folder of images, that is missing, damaged or laid out in another way."""


class ConfigError(MTLNASError):
    """A setting out of range, or a name that is not among the choices."""


class RunError(MTLNASError):
    """A run folder that is missing, in use, damaged or of another space."""
