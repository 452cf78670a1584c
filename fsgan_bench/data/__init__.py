"""Images: sets, containers, splits, filters and the avatars domains."""
