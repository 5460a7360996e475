"""Tests of the network: real TLS over memory streams or loopback, certificates made on the fly."""
