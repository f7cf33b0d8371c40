"""ssr: blind super-resolution that knows what blurred the photo."""

__version__ = "0.1.0"
