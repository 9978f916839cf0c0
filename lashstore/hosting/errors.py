"""
What a user of the replay did wrong, or what is in its way.
"""


class HostingError(Exception):
    """
    Base of the errors of this package; the message is for the user.
    """


class TranscriptError(HostingError):
    """
    The file is no transcript: the message names what is wrong and where.
    """


class ForeignSessionError(HostingError):
    """
    The session holds something else than this transcript.
    """


class SessionBusyError(HostingError):
    """
    Another host runs the session and did not stop while this one waited.
    """


class LaneLostError(HostingError):
    """
    The execution lease ended under the run; another host may have it.
    """
