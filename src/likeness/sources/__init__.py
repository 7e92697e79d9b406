"""S3Object references → bytes: from any S3, or from a folder used as a bucket."""
