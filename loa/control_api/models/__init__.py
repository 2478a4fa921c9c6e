"""Bodies of requests and answers, one file a resource: what is here is validated, and is the OpenAPI document."""
