"""Running a scenario on several hosts: who runs what, the daemon of a host, and who conducts them all."""
