/// Which modules a target may import.
enum AllowedImports {
  /// These and no others.
  case only(Set<String>)
  /// The composition root: everything but the C libraries, which have Swift owners.
  case everythingButC
}

/// The layers, as data: a new folder in Sources needs a row here.
let layers: [String: AllowedImports] = [
  "FeatureCore": .only([]),
  "BrokerCore": .only([]),
  "LocalBroker": .only(["BrokerCore", "NIOCore", "NIOPosix", "Glibc", "Synchronization"]),
  "DefinitionFiles": .only(["FeatureCore", "Yams", "Foundation"]),
  "EventFiles": .only(["FeatureCore", "CLzma", "CZlib", "CZstd", "Glibc"]),
  "OfflineStore": .only(["FeatureCore", "EventFiles", "Parquet", "Glibc", "Synchronization"]),
  "Parquet": .only(["FeatureCore", "CBrotli", "CZlib", "CZstd", "Glibc"]),
  "Clickstream": .only([]),
  "FeastDefinitions": .only(["FeatureCore"]),
  "LiveView": .only(["Glibc"]),
  "ModelMonitor": .only(["FeatureCore"]),
  "Processor": .only(["FeatureCore"]),
  "Simulation": .only(["FeatureCore", "Processor", "BrokerCore"]),
  "Commands": .only(["Processor", "Glibc"]),
  "CallThread": .only(["Dispatch", "Glibc", "Synchronization"]),
  "TLSClient": .only(["COpenSSL", "Glibc"]),
  "OnlineStore": .only([
    "FeatureCore", "Processor", "ModelMonitor", "CallThread", "TLSClient", "CHiredis", "Glibc", "Dispatch",
    "Synchronization",
  ]),
  "EventLog": .only(["FeatureCore", "Processor", "CallThread", "CRDKafka", "Glibc", "Synchronization"]),
  "OutputRecords": .only(["SwiftProtobuf", "Foundation", "FoundationEssentials"]),
  "Verification": .only([
    "FeatureCore", "Processor", "OutputRecords", "OfflineStore", "SwiftProtobuf", "Foundation", "Glibc",
  ]),
  "Replay": .only([
    "FeatureCore", "Processor", "EventFiles", "EventLog", "OnlineStore", "OfflineStore", "OutputRecords",
    "Parquet", "ModelMonitor", "Verification", "SwiftProtobuf", "Dispatch", "Foundation", "Synchronization",
  ]),
  "ServiceConfiguration": .only(["FeatureCore", "Yams", "Foundation"]),
  "TLSServer": .only(["COpenSSL", "NIOCore", "Glibc", "Synchronization"]),
  "HTTPListener": .only(["TLSServer", "NIOCore", "NIOPosix", "NIOHTTP1", "Glibc", "Synchronization"]),
  "Telemetry": .only([
    "FeatureCore", "Processor", "HTTPListener", "ModelMonitor", "Logging", "Metrics", "Foundation",
    "Synchronization",
  ]),
  "FeatureServer": .only([
    "FeatureCore", "Processor", "OnlineStore", "OutputRecords", "HTTPListener", "TLSServer", "Telemetry",
    "Logging", "Metrics", "SwiftProtobuf", "Foundation", "FoundationEssentials", "Synchronization",
  ]),
  "Capture": .only(["FeatureCore", "Processor", "OfflineStore"]),
  "CaptureTopics": .only([
    "Capture", "EventLog", "FeatureCore", "Processor", "Telemetry", "Metrics", "Synchronization",
  ]),
  "PostgresTables": .only(["FeatureCore", "Capture", "CLibPQ", "Glibc"]),
  "FileTables": .only(["FeatureCore", "Capture", "EventFiles", "OfflineStore", "Glibc"]),
  "SQLiteTables": .only(["FeatureCore", "Capture", "CSQLite", "Glibc"]),
  "plumb": .everythingButC,
]

/// The floors of the house, the ground first: a target imports from its own floor and from those below.
let floors: [(name: String, targets: [String])] = [
  ("pure", ["FeatureCore", "BrokerCore", "Clickstream", "FeastDefinitions", "ModelMonitor"]),
  ("processing", ["Processor", "Simulation"]),
  (
    "adapters",
    [
      "EventLog", "OnlineStore", "OfflineStore", "EventFiles", "Parquet", "DefinitionFiles", "Capture",
      "CaptureTopics", "PostgresTables", "SQLiteTables", "FileTables", "LocalBroker", "OutputRecords",
      "Telemetry",
      "HTTPListener", "TLSServer", "TLSClient", "CallThread", "Commands",
    ]
  ),
  ("rereading", ["Replay", "Verification"]),
  ("front", ["plumb", "FeatureServer", "LiveView", "ServiceConfiguration"]),
]

/// Pure targets: nothing in them may do I/O, read a clock, draw lots, depend on the process's hash seed or wait.
let pureTargets: Set<String> = ["FeatureCore", "BrokerCore", "Clickstream", "Simulation"]

/// What would make them impure, as code is written, each with the reason.
let impurities: [(code: String, reason: String)] = [
  ("Foundation", "I/O, locales and clocks"), ("Dispatch", "threads"), ("Glibc", "I/O and clocks"),
  ("ContinuousClock", "a clock"), ("SuspendingClock", "a clock"), ("Date", "a clock"),
  ("clock_gettime", "a clock"), ("sleep", "waiting"), (".random", "randomness"),
  ("SystemRandomNumberGenerator", "randomness"), ("shuffled", "randomness"), ("shuffle", "randomness"),
  ("randomElement", "randomness"), ("hashValue", "differs from process to process"),
  ("Hasher(", "differs from process to process"), ("print(", "I/O"), ("readLine", "I/O"),
  ("async", "the order of events would be the scheduler's"),
  ("await", "the order of events would be the scheduler's"),
]

/// Lines of one file: longer ones hide more than one idea.
let fileLinesMax = 700
