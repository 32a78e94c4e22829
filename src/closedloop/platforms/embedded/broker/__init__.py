"""A broker with Knative Eventing's behaviour as one process over NATS JetStream.

    ingress ──► store (JetStream stream) ──► pull ──► subscription ──► attempt ──► subscriber
                                                          └── dead-letter sink

`cloudevent`, `delivery` and `config` are pure; `store` and `pull`
know JetStream, `attempt` and `app` know HTTP, `broker` holds them together.
"""
