"""Playing policies: reference returns, verification, cross-play, films, cards."""
