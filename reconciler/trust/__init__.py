"""Whether the commits between the applied one and the new one are to be trusted.

Asked before anything of the new commit is parsed: what nobody vouches for reaches no parser.
"""
