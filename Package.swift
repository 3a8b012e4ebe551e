// swift-tools-version: 6.2
import PackageDescription

/// One list of settings for every target: what is not listed here is the same everywhere.
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "plumbline",
  products: [
    .library(name: "FeatureCore", targets: ["FeatureCore"]),
    .library(name: "DefinitionFiles", targets: ["DefinitionFiles"]),
    .library(name: "EventFiles", targets: ["EventFiles"]),
    .library(name: "OfflineStore", targets: ["OfflineStore"]),
    .library(name: "Parquet", targets: ["Parquet"]),
    .library(name: "Clickstream", targets: ["Clickstream"]),
    .library(name: "Processor", targets: ["Processor"]),
    .library(name: "OnlineStore", targets: ["OnlineStore"]),
    .library(name: "EventLog", targets: ["EventLog"]),
    .library(name: "FeatureServer", targets: ["FeatureServer"]),
    .library(name: "LocalBroker", targets: ["BrokerCore", "LocalBroker"]),
    .executable(name: "plumb", targets: ["plumb"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
  ],
  targets: [
    // All linked by name: no pkg-config is needed, and hiredis' file asks for flags that SwiftPM refuses.
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CBrotli", providers: [.apt(["libbrotli-dev"])]),
    .systemLibrary(name: "CLzma", providers: [.apt(["liblzma-dev"])]),
    .systemLibrary(name: "CRDKafka", providers: [.apt(["librdkafka-dev"])]),
    .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
    .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CLibPQ", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .target(name: "FeatureCore", swiftSettings: strict),
    .target(
      name: "DefinitionFiles",
      dependencies: ["FeatureCore", .product(name: "Yams", package: "Yams")], swiftSettings: strict),
    .target(
      name: "EventFiles", dependencies: ["FeatureCore", "CLzma", "CZlib", "CZstd"], swiftSettings: strict),
    .target(
      name: "OfflineStore", dependencies: ["FeatureCore", "EventFiles", "Parquet"], swiftSettings: strict),
    .target(
      name: "Parquet", dependencies: ["FeatureCore", "CBrotli", "CZlib", "CZstd"], swiftSettings: strict),
    .target(name: "Clickstream", swiftSettings: strict),
    .target(name: "FeastDefinitions", dependencies: ["FeatureCore"], swiftSettings: strict),
    .target(name: "LiveView", swiftSettings: strict),
    .target(name: "ModelMonitor", dependencies: ["FeatureCore"], swiftSettings: strict),
    .target(name: "BrokerCore", swiftSettings: strict),
    .target(
      name: "LocalBroker",
      dependencies: [
        "BrokerCore", .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ], swiftSettings: strict),
    .target(name: "Processor", dependencies: ["FeatureCore"], swiftSettings: strict),
    .target(
      name: "Simulation", dependencies: ["FeatureCore", "Processor", "BrokerCore"], swiftSettings: strict),
    .target(name: "CallThread", swiftSettings: strict),
    .target(name: "Commands", dependencies: ["Processor"], swiftSettings: strict),
    .target(name: "TLSClient", dependencies: ["COpenSSL"], swiftSettings: strict),
    .target(
      name: "OnlineStore",
      dependencies: ["FeatureCore", "Processor", "ModelMonitor", "CallThread", "TLSClient", "CHiredis"],
      swiftSettings: strict),
    .target(
      name: "EventLog", dependencies: ["FeatureCore", "Processor", "CallThread", "CRDKafka"],
      swiftSettings: strict),
    .target(
      name: "Capture", dependencies: ["FeatureCore", "Processor", "OfflineStore"], swiftSettings: strict),
    .target(
      name: "CaptureTopics",
      dependencies: [
        "Capture", "EventLog", "FeatureCore", "Processor", "Telemetry",
        .product(name: "Metrics", package: "swift-metrics"),
      ], swiftSettings: strict),
    .target(
      name: "PostgresTables", dependencies: ["FeatureCore", "Capture", "Processor", "CLibPQ"],
      swiftSettings: strict),
    .target(
      name: "FileTables", dependencies: ["FeatureCore", "Capture", "EventFiles", "OfflineStore"],
      swiftSettings: strict),
    .target(
      name: "SQLiteTables", dependencies: ["FeatureCore", "Capture", "CSQLite"], swiftSettings: strict),
    .target(
      name: "OutputRecords", dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
      swiftSettings: strict),
    .target(
      name: "Verification",
      dependencies: [
        "FeatureCore", "Processor", "OutputRecords", "OfflineStore",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      swiftSettings: strict),
    .target(
      name: "Replay",
      dependencies: [
        "FeatureCore", "Processor", "EventFiles", "EventLog", "OnlineStore", "OfflineStore", "OutputRecords",
        "Parquet", "ModelMonitor", "Verification", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      swiftSettings: strict),
    .target(
      name: "ServiceConfiguration",
      dependencies: ["FeatureCore", .product(name: "Yams", package: "Yams")], swiftSettings: strict),
    .target(
      name: "Telemetry",
      dependencies: [
        "FeatureCore", "Processor", .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"), "HTTPListener", "ModelMonitor",
      ], swiftSettings: strict),
    .target(
      name: "TLSServer", dependencies: ["COpenSSL", .product(name: "NIOCore", package: "swift-nio")],
      swiftSettings: strict),
    .target(
      name: "HTTPListener",
      dependencies: [
        "TLSServer",
        .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ], swiftSettings: strict),
    .target(
      name: "FeatureServer",
      dependencies: [
        "FeatureCore", "Processor", "OnlineStore", "OutputRecords", "HTTPListener", "TLSServer", "Telemetry",
        .product(name: "Logging", package: "swift-log"), .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ], swiftSettings: strict),
    .executableTarget(
      name: "plumb",
      dependencies: [
        "FeatureCore", "DefinitionFiles", "EventFiles", "OfflineStore", "Clickstream", "Processor",
        "BrokerCore", "LocalBroker", "Commands", "EventLog", "OnlineStore", "OutputRecords", "Simulation",
        "Telemetry",
        "LiveView", "ServiceConfiguration", "Verification", "FeastDefinitions", "Capture", "CaptureTopics",
        "PostgresTables",
        "SQLiteTables", "FileTables", "FeatureServer", "HTTPListener", "Replay", "ModelMonitor",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ], swiftSettings: strict),
    // Built with everything else, so that it stays true.
    .executableTarget(
      name: "reader", dependencies: ["DefinitionFiles", "FeatureCore", "OnlineStore"],
      path: "examples/reader",
      swiftSettings: strict),
    // What several test targets need.
    .target(
      name: "TestSupport", dependencies: ["FeatureCore", "Processor"], path: "Tests/TestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "FeatureCoreTests", dependencies: ["FeatureCore", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "AdapterTests",
      dependencies: [
        "FeatureCore", "DefinitionFiles", "EventFiles", "OfflineStore", "Clickstream", "ServiceConfiguration",
        "OutputRecords", "Parquet", "Processor", "Verification", "FeastDefinitions", "ModelMonitor",
        "CallThread", "TestSupport",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ], exclude: ["OfflineStore/Fixtures"], swiftSettings: strict),
    .testTarget(
      name: "CaptureTests",
      dependencies: ["Capture", "FileTables", "SQLiteTables", "FeatureCore", "OfflineStore", "Processor"],
      swiftSettings: strict),
    .testTarget(
      name: "ParquetTests", dependencies: ["FeatureCore", "Parquet", "TestSupport"], exclude: ["Python"],
      swiftSettings: strict),
    .testTarget(
      name: "OnlineStoreTests", dependencies: ["FeatureCore", "Processor", "OnlineStore", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "ProcessorTests",
      dependencies: [
        "FeatureCore", "Processor", "OutputRecords", "TestSupport",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"), .product(name: "Yams", package: "Yams"),
      ], swiftSettings: strict),
    .testTarget(
      name: "VerificationTests",
      dependencies: [
        "FeatureCore", "Processor", "Verification", "OutputRecords",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ], swiftSettings: strict),
    .testTarget(
      name: "ReplayTests",
      dependencies: ["Replay", "EventFiles", "FeatureCore", "Processor", "Simulation", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "SimulationTests", dependencies: ["Simulation", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "CLITests", dependencies: ["plumb"], exclude: ["DataSets", "Forms", "Oracle"],
      swiftSettings: strict),
    .testTarget(
      name: "BrokerTests",
      dependencies: [
        "BrokerCore", "LocalBroker", "CRDKafka", "TestSupport", "plumb",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
      ],
      exclude: ["Conformance"], swiftSettings: strict),
    .testTarget(
      name: "EventLogTests",
      dependencies: ["EventLog", "Processor", "BrokerCore", "LocalBroker", "CRDKafka", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "IntegrationTests",
      dependencies: [
        "FeatureCore", "DefinitionFiles", "EventFiles", "LiveView", "Processor", "EventLog", "OnlineStore",
        "OutputRecords", "SQLiteTables", "CRDKafka", "TestSupport", "plumb",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      exclude: ["Python"], swiftSettings: strict),
    .testTarget(
      name: "TelemetryTests",
      dependencies: [
        "Telemetry", "Processor", "FeatureCore", .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
      ], swiftSettings: strict),
    .testTarget(
      name: "FeatureServerTests",
      dependencies: [
        "FeatureServer", "HTTPListener", "FeatureCore", "DefinitionFiles", "OnlineStore", "OutputRecords",
        "Processor",
        "Telemetry", .product(name: "Logging", package: "swift-log"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ], swiftSettings: strict),
    .testTarget(name: "LiveViewTests", dependencies: ["LiveView"], swiftSettings: strict),
    .testTarget(name: "TidyTests", dependencies: ["TestSupport"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
