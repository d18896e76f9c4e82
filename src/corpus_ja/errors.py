"""What a user can get wrong, as exceptions whose message is the whole answer.

Every message is a sentence that names the file, the key or the line, says what is wrong and what to do. The command
line prints it and exits with 1; nothing but a bug of ours ever shows a traceback. Rejected: error codes (nobody looks
them up) and one class per mistake (nobody catches them apart).
"""


class CorpusError(Exception):
    """A mistake that the person at the keyboard can put right; `str(error)` is the sentence to show."""


class ConfigError(CorpusError):
    """The mix file or a command-line setting is wrong."""


class RuleError(CorpusError):
    """A rule file is wrong; the message names the file and the rule."""


class SourceError(CorpusError):
    """A source cannot be listed or read; the message names the file."""


class MixError(CorpusError):
    """The wishes of a mix contradict each other or what exists; the message carries both numbers."""


class ManifestError(CorpusError):
    """A build folder is missing, unfinished or damaged."""


class WorkerError(CorpusError):
    """A task failed or its worker was killed; the message names the shard."""
