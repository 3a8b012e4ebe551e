// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "plumbline-benchmarks",
  dependencies: [.package(name: "plumbline", path: "..")],
  targets: [
    .target(name: "CAllocationCount"),
    .target(
      name: "CPipeline", linkerSettings: [.linkedLibrary("rdkafka"), .linkedLibrary("hiredis")]),
    .executableTarget(
      name: "plumb-benchmarks",
      dependencies: [
        "CAllocationCount", "CPipeline",
        .product(name: "FeatureCore", package: "plumbline"),
        .product(name: "EventFiles", package: "plumbline"),
        .product(name: "OfflineStore", package: "plumbline"),
        .product(name: "Clickstream", package: "plumbline"),
        .product(name: "Parquet", package: "plumbline"),
        .product(name: "Processor", package: "plumbline"),
      ], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
