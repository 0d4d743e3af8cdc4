// Kafka's requests and answers as kafkajs encodes and decodes them: the fields that are used, of
// the requests that are used. Types only.

/** One request of the protocol with the decoder of its answer. */
export interface Call<Answer> {
  readonly request: unknown
  readonly response: {
    readonly decode: (raw: Buffer) => Promise<Answer>
    readonly parse: (data: Answer) => Promise<Answer>
  }
  readonly requestTimeout?: number
  readonly logResponseError?: boolean
}

export type Versions = Readonly<
  Record<number, { readonly minVersion: number; readonly maxVersion: number }>
>

export interface Definition<Asked, Answer> {
  readonly versions: ReadonlyArray<string>
  readonly protocol: (of: { readonly version: number }) => (args: Asked) => Call<Answer>
}

export interface TopicList<Partition> {
  readonly topics: ReadonlyArray<{
    readonly topic: string
    readonly partitions: ReadonlyArray<Partition>
  }>
}

interface PartitionResults<Partition> {
  readonly responses: ReadonlyArray<{
    readonly topic: string
    readonly partitions: ReadonlyArray<Partition>
  }>
}

export interface Message {
  readonly key: Buffer | null
  readonly value: Buffer
}

interface ProduceArgs {
  readonly acks: number
  readonly timeout: number
  readonly compression: number
  readonly producerId: string
  readonly producerEpoch: number
  readonly topicData: ReadonlyArray<{
    readonly topic: string
    readonly partitions: ReadonlyArray<{
      readonly partition: number
      readonly firstSequence: number
      readonly messages: ReadonlyArray<Message>
    }>
  }>
}

interface Produced {
  readonly topics: ReadonlyArray<{
    readonly partitions: ReadonlyArray<{
      readonly errorCode: number
      readonly baseOffset: string
    }>
  }>
}

export interface Metadata {
  readonly brokers: ReadonlyArray<{
    readonly nodeId: number
    readonly host: string
    readonly port: number
  }>
  readonly topicMetadata: ReadonlyArray<{
    readonly topicErrorCode: number
    readonly topic: string
    readonly isInternal: boolean
    readonly partitionMetadata: ReadonlyArray<{
      readonly partitionErrorCode: number
      readonly partitionId: number
      readonly leader: number
      readonly replicas: ReadonlyArray<number>
    }>
  }>
}

interface GroupFields {
  readonly groupId: string
  readonly memberId: string
}

export interface Joined {
  readonly errorCode: number
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly members: ReadonlyArray<{ readonly memberId: string; readonly memberMetadata: Buffer }>
}

export interface ConfigEntry {
  readonly name: string
  readonly value: string
}

interface ResourceResult {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly resourceName: string
}

export interface Requests {
  readonly ApiVersions: Definition<
    void,
    {
      readonly apiVersions: ReadonlyArray<{
        apiKey: number
        minVersion: number
        maxVersion: number
      }>
    }
  >
  readonly Metadata: Definition<
    { readonly topics: ReadonlyArray<string>; readonly allowAutoTopicCreation: boolean },
    Metadata
  >
  readonly InitProducerId: Definition<
    { readonly transactionalId?: string },
    { readonly errorCode: number; readonly producerId: string; readonly producerEpoch: number }
  >
  readonly Produce: Definition<ProduceArgs, Produced>
  readonly Fetch: Definition<
    {
      readonly isolationLevel: number
      readonly maxWaitTime: number
      readonly minBytes: number
      readonly maxBytes: number
      readonly rackId: string
    } & TopicList<{
      readonly partition: number
      readonly fetchOffset: string
      readonly maxBytes: number
    }>,
    object
  >
  readonly ListOffsets: Definition<
    { readonly isolationLevel: number } & TopicList<{
      readonly partition: number
      readonly timestamp: string
    }>,
    PartitionResults<{ readonly errorCode: number; readonly offset: string }>
  >
  readonly GroupCoordinator: Definition<
    { readonly groupId: string; readonly coordinatorType: number },
    { readonly errorCode: number; readonly coordinator: { readonly nodeId: number } }
  >
  readonly JoinGroup: Definition<
    GroupFields & {
      readonly sessionTimeout: number
      readonly rebalanceTimeout: number
      readonly protocolType: string
      readonly groupProtocols: ReadonlyArray<{ readonly name: string; readonly metadata: Buffer }>
    },
    Joined
  >
  readonly SyncGroup: Definition<
    GroupFields & {
      readonly generationId: number
      readonly groupAssignment: ReadonlyArray<{
        readonly memberId: string
        readonly memberAssignment: Buffer
      }>
    },
    { readonly errorCode: number; readonly memberAssignment: Buffer }
  >
  readonly Heartbeat: Definition<
    GroupFields & { readonly groupGenerationId: number },
    { readonly errorCode: number }
  >
  readonly LeaveGroup: Definition<GroupFields, { readonly errorCode: number }>
  readonly OffsetCommit: Definition<
    GroupFields & { readonly groupGenerationId: number } & TopicList<{
        readonly partition: number
        readonly offset: string
      }>,
    PartitionResults<{ readonly errorCode: number }>
  >
  readonly OffsetFetch: Definition<
    { readonly groupId: string } & TopicList<{ readonly partition: number }>,
    PartitionResults<{
      readonly partition: number
      readonly offset: string
      readonly errorCode: number
    }> & { readonly errorCode: number }
  >
  readonly CreateTopics: Definition<
    {
      readonly topics: ReadonlyArray<{
        readonly topic: string
        readonly numPartitions: number
        readonly replicationFactor: number
        readonly configEntries: ReadonlyArray<ConfigEntry>
      }>
      readonly timeout: number
      readonly validateOnly: boolean
    },
    {
      readonly topicErrors: ReadonlyArray<{
        readonly topic: string
        readonly errorCode: number
        readonly errorMessage: string | null
      }>
    }
  >
  readonly DescribeConfigs: Definition<
    {
      readonly resources: ReadonlyArray<{
        readonly type: number
        readonly name: string
        readonly configNames: ReadonlyArray<string>
      }>
    },
    {
      readonly resources: ReadonlyArray<
        ResourceResult & {
          readonly configEntries: ReadonlyArray<{
            readonly configName: string
            readonly configValue: string | null
          }>
        }
      >
    }
  >
  readonly AlterConfigs: Definition<
    {
      readonly resources: ReadonlyArray<{
        readonly type: number
        readonly name: string
        readonly configEntries: ReadonlyArray<ConfigEntry>
      }>
    },
    { readonly resources: ReadonlyArray<ResourceResult> }
  >
}

export type ApiName = keyof Requests

type Ask<Name extends ApiName> = ReturnType<Requests[Name]["protocol"]>
export type Args<Name extends ApiName> = Parameters<Ask<Name>>[0]
export type Data<Name extends ApiName> =
  ReturnType<Ask<Name>> extends Call<infer Answer> ? Answer : never
