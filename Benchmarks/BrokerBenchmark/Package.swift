// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "broker-benchmark",
  targets: [
    .systemLibrary(name: "CRDKafka", providers: [.apt(["librdkafka-dev"])]),
    .executableTarget(
      name: "broker-benchmark", dependencies: ["CRDKafka"], path: "Sources/BrokerBenchmark",
      swiftSettings: [.treatAllWarnings(as: .error)]),
  ],
  swiftLanguageModes: [.v6]
)
