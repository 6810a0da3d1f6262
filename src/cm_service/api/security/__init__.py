"""Who is asking, and may they? Signed tokens, their keys, our own tokens, scopes, and the guard."""
