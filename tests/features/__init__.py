"""The features of the four documents by their ids, and where each is proved."""
