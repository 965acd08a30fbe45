"""The networks, each in a folder of its own behind one protocol; and what several share."""
