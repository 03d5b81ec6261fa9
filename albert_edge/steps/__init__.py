"""What the commands do, as functions: each makes a bundle, or adds to one, all or nothing."""
