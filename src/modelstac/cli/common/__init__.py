"""What commands share: options, errors, files, progress."""
