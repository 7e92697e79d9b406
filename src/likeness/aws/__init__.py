"""The wire format of the service without a server: protocol, signatures, policies, keys, audit records."""
