"""What a change means for who may do what. Pure.

Two worlds, before and after, and the keys that differ between them go in; findings and
problems come out. Nothing here decides on a call: that is the guard's, and a test holds the
two together. What a finding says is derived from what is declared, never from texts.

    comparison   every finding between two worlds
    risks        what forbids a commit, or deserves a warning, in one world
"""
