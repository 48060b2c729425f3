"""A Git repository as a source of manifests: read through a bare mirror, never checked out.

source    what a pass asks: resolve, fetch, list, compare, read, pin
history   what a commit brings, from each commit's own bytes
mirror    the bare mirror: how a commit comes in and stays in
command   the one place where git is started, in an environment built from nothing
tree      what git prints, read. Pure
commit_object   a commit and its signature, from its own bytes. Pure
address   which URLs, refs and folders are let near git. Pure
watch     wakes the daemon when a local repository's refs move
"""
