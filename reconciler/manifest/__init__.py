"""YAML text to resources and problems. Pure.

parser      the way through: text to resources, and what the cache keeps of them
positions   the event stream of the YAML library to values with their places
document    a document's values and places
scalar      what a plain word means in YAML 1.2
sealing     secret values out, digests in
origin      the names that a manifest says its resource had before
caution     what is accepted and deserves a warning
wording     what is wrong with a value, in a person's words
syntax      what is wrong with the YAML, in a person's words
excerpt     the line of text under a problem, if it may be shown
"""

from reconciler.manifest.parser import Parsed, decode, encode, parse, parser_version

__all__ = ["Parsed", "decode", "encode", "parse", "parser_version"]
