"""The report as a page: values in, one HTML text out. Pure."""
