"""Listening over HTTP: a page is made once, and handed to the kernel for a thousand listeners at a time.

`pages` ► `backlog` ► `crowd` (`socket_table`, `batch_writer`; by TLS `guests`). A `station` has them for one
broadcast that somebody listens to; the `desk` knows all stations.
"""
