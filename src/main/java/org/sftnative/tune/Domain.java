package org.sftnative.tune;

import java.math.BigDecimal;
import java.util.List;

/// The values that a setting may take, and how likely each is. Values are Boolean, Long, Double, String, or List of
/// these.
sealed interface Domain {
    Object draw(Draws draws);

    /// Whether it has this one value among others; for a range, whether the value lies in it.
    boolean contains(Object value);

    /// Values at which every check of a range must hold: all of a choice, both ends of a range.
    List<Object> extremes();

    /// One value.
    record Constant(Object value) implements Domain {
        @Override
        public Object draw(Draws draws) {
            return value;
        }

        @Override
        public boolean contains(Object other) {
            return value.equals(other);
        }

        @Override
        public List<Object> extremes() {
            return List.of(value);
        }
    }

    /// One of several values, all as likely.
    ///
    /// @param grid whether each is tried with every sample (`grid_search`), rather than one drawn
    record Choice(List<Object> values, boolean grid) implements Domain {
        @Override
        public Object draw(Draws draws) {
            return values.get(draws.below(values.size()));
        }

        @Override
        public boolean contains(Object value) {
            return values.contains(value);
        }

        @Override
        public List<Object> extremes() {
            return values;
        }
    }

    /// A real number from `low` to `high`, uniform, or uniform in its logarithm.
    ///
    /// @param step values are multiples of it, both ends too; 0: any value
    record Real(double low, double high, boolean log, double step) implements Domain {
        @Override
        public Object draw(Draws draws) {
            double u = draws.uniform();
            if (log) {
                double from = StrictMath.log(low);
                return fit(StrictMath.exp(from + u * (StrictMath.log(high) - from)));
            }
            // each multiple as likely as the others: half a step beyond both ends
            double from = low - step / 2;
            return fit(from + u * (high + step / 2 - from));
        }

        /// The nearest value of this domain.
        double fit(double value) {
            if (step > 0) {
                value = multiple(step, Math.rint(value / step));
            }
            return Math.clamp(value, low, high);
        }

        /// As a person would write it: 3 x 0.1 is 0.3.
        static double multiple(double step, double times) {
            return BigDecimal.valueOf(step).multiply(BigDecimal.valueOf(times)).doubleValue();
        }

        @Override
        public boolean contains(Object value) {
            return value instanceof Double d && d >= low && d <= high;
        }

        @Override
        public List<Object> extremes() {
            return List.of(low, high);
        }
    }

    /// A whole number from `low` to `high`, both included, uniform, or uniform in its logarithm.
    ///
    /// @param step values are `low` and so many steps; at least 1
    record Whole(long low, long high, boolean log, long step) implements Domain {
        @Override
        public Object draw(Draws draws) {
            double u = draws.uniform();
            if (log) {
                double from = StrictMath.log(low);
                return fit(StrictMath.floor(StrictMath.exp(from + u * (StrictMath.log(high + 1.0) - from))));
            }
            return low + (long) (u * (double) ((high - low) / step + 1)) * step;
        }

        /// The nearest value of this domain.
        long fit(double value) {
            return Math.clamp(low + Math.round((value - low) / step) * step, low, high);
        }

        @Override
        public boolean contains(Object value) {
            return value instanceof Long n && n >= low && n <= high && (n - low) % step == 0;
        }

        @Override
        public List<Object> extremes() {
            return List.of(low, high);
        }
    }

    /// A real number around `mean`, without bounds.
    ///
    /// @param step values are multiples of it; 0: any value
    record Normal(double mean, double deviation, double step) implements Domain {
        @Override
        public Object draw(Draws draws) {
            double value = mean + deviation * draws.normal();
            return step > 0 ? Real.multiple(step, Math.rint(value / step)) : value;
        }

        @Override
        public boolean contains(Object value) {
            return value instanceof Double;
        }

        /// Six deviations: one draw in 500 million lies beyond.
        @Override
        public List<Object> extremes() {
            return List.of(mean - 6 * deviation, mean + 6 * deviation);
        }
    }
}
