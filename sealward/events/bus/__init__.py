"""Messages on their way: the bus, RabbitMQ, the relay, dead letters."""
