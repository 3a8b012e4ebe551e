import Hummingbird
import Logging
import Metrics
