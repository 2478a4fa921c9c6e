"""What processes of one city share while they run, by Redis: signs of events, and how endpoints are.

Redis is never the truth. It may lose everything at any moment: what was committed is read from the store, and what
only a core knows is unknown to the others meanwhile.
"""
