"""The wire between hosts: framing, handshake and security of the connections that carry a run across machines."""
