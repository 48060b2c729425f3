"""Why a call was made: from its entries in the log to the line, the commit and the person."""
