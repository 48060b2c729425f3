"""Whether the commits between the applied one and the new one are to be trusted.

    keys          whom to trust: files of the host, a file of the applied commit
    verifier ──>  ssh, openpgp: ssh-keygen and gpg say whether a signature is good
    judgement     which commits need one, and what lacks it                  pure
    provenance    who vouches, as a plan and the log will say it             pure
    record        the same, kept with the revision

Asked before anything of the new commit is parsed: what nobody vouches for reaches no parser.
"""
