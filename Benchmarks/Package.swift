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
    .executableTarget(
      name: "plumb-benchmarks",
      dependencies: [
        "CAllocationCount",
        .product(name: "FeatureCore", package: "plumbline"),
        .product(name: "EventFiles", package: "plumbline"),
        .product(name: "Clickstream", package: "plumbline"),
        .product(name: "Processor", package: "plumbline"),
      ], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
