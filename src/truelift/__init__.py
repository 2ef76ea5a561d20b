"""Does a training technique lift my image classifier, by more than seed noise?"""

__version__ = "0.1.0"
