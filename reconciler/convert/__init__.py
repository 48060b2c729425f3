"""From the native form of a manifest to the public one, and back. Pure."""

from reconciler.convert.conversion import Converted, converted, endpoints_of
from reconciler.convert.vocabulary import Form

__all__ = ["Converted", "Form", "converted", "endpoints_of"]
