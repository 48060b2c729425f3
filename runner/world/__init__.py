"""What agents will meet on this host: programs, secrets, addresses, and models.

observer   a thread beside the dispatcher that looks now and then
looking    one look: what is declared, what is there, what is new is kept
aspects    what there is to look at in a manifest; pure
here       programs, variables and files of this host
addresses  whether a declared address takes a connection; nothing is asked there
answered   which model an endpoint says that answered
"""
