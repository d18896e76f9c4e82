"""What a user of training can get wrong, as a sentence: `TrainError`, which every module of `train` raises and its
command lines print before they exit with 1. It stands alone in its module so that raising it imports nothing heavy.
"""


class TrainError(Exception):
    """What a user of training can get wrong, as a sentence: it names the file, key or choice and says what to do."""


def first_line(error: BaseException) -> str:
    """What a library's error says, without the lines that explain it; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
