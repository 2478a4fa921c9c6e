"""The durable store. Rows stay in here: what goes in and out are the values of broadcast/records.py."""
