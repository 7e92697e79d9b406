"""The exit codes of the command, those of AWS CLI version 2 (specification section 6.7)."""

#: The arguments cannot be parsed or are not valid.
USAGE_ERROR = 252
#: The environment is not set up: no region, no credentials, no pager, no usable model pack.
CONFIGURATION_ERROR = 253
#: The service (or the engine in its place) answered with an error.
SERVICE_ERROR = 254
#: Everything else: no connection, no such profile, invalid base64.
OTHER_ERROR = 255
INTERRUPTED = 130
