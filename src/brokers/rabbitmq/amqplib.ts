/** What is used of `amqplib`, by its form: releases 0.10, 1 and 2 fit, and none of their types is needed. */

/** What `connect` of `amqplib` resolves with. */
export interface RabbitMqConnection {
  createChannel(): Promise<RabbitMqChannel>;
  createConfirmChannel(): Promise<RabbitMqConfirmChannel>;
  close(): Promise<void>;
  on(event: string, listener: (argument: unknown) => void): unknown;
}

export interface RabbitMqChannel {
  prefetch(count: number): Promise<unknown>;
  consume(
    queue: string,
    onMessage: (message: IncomingRabbitMessage | null) => void,
    options: { readonly noAck: boolean },
  ): Promise<{ readonly consumerTag: string }>;
  cancel(consumerTag: string): Promise<unknown>;
  ack(message: IncomingRabbitMessage): void;
  nack(message: IncomingRabbitMessage, allUpTo: boolean, requeue: boolean): void;
  close(): Promise<void>;
  on(event: string, listener: (argument: unknown) => void): unknown;
}

export interface RabbitMqConfirmChannel {
  /** Returns whether more may be written before `drain`. */
  publish(
    exchange: string,
    routingKey: string,
    content: Buffer,
    properties: OutgoingRabbitProperties,
    confirmed: (error: unknown) => void,
  ): boolean;
  on(event: string, listener: (argument: unknown) => void): unknown;
}

/** How a message goes out: with its properties, and what the broker is to do with it. */
export interface OutgoingRabbitProperties {
  readonly persistent: boolean;
  readonly mandatory: boolean;
  readonly messageId: string;
  /** In seconds. */
  readonly timestamp: number;
  readonly contentType?: string;
  readonly headers: Record<string, string>;
}

/** A message as it comes. */
export interface IncomingRabbitMessage {
  readonly content: Buffer;
  readonly fields: {
    readonly deliveryTag: number;
    readonly redelivered: boolean;
    readonly exchange: string;
    readonly routingKey: string;
  };
  readonly properties: {
    readonly messageId?: unknown;
    readonly contentType?: unknown;
    readonly headers?: Readonly<Record<string, unknown>> | undefined;
  };
}
